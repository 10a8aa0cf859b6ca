"""From pixels to a MotionTrack and back: detection, crops, measurement, pasting."""
