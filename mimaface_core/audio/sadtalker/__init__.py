"""SadTalker as an audio driver, with its released weights."""
