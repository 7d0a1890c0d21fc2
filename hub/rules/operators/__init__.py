"""The ways in which signals become a conclusion: one file each, of equal shape. All pure."""
