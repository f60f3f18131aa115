"""What finished runs show: compared, gated, swept over styles, held against published numbers."""
