"""From speech to a MotionTrack: speech, its mel spectrogram, and the audio drivers."""
