"""Rules at work: their memories as rows, their timers, their health, and the folder that they come from."""
