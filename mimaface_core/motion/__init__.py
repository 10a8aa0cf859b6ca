"""The explicit motion: `MotionTrack`, and what is done to it."""
