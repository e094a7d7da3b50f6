"""What a trained component does with one text: gates, paths, and the influence of tokens. Needs the extra `report`."""
