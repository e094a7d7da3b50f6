"""The command `teach`: a teacher annotates raw texts, and a student learns from it."""
