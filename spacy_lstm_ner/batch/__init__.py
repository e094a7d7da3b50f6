"""The command `annotate`: many documents from files to files, on all cores, in parts that can be resumed."""
