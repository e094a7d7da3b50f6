"""The command `report`: what a pipeline gets right and wrong, on one page. It needs the extra `report`."""
