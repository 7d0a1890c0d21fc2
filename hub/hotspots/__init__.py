"""Where, when and why next: places where confirmed events gather, as a list that becomes operations."""
