"""The bundled face model: mesh, blendshapes, eyes, mouth, and the head behind them."""
