"""IF-MDM: implicit motion, a renderer by local flow and fill, and a transformer from speech to motion codes."""
