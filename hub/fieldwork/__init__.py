"""Work in the street: what phones take along, what they bring back, photos, permits and rounds."""
