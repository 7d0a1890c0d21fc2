"""The safety plan as data: objectives, activities and indicators whose figures can be computed again."""
