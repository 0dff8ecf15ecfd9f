"""The recorder: keeps every event, acknowledges what is on disk, answers for the past, and writes the files that a run leaves."""
