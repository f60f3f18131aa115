"""Runner `hf`: any image-text-to-text checkpoint of transformers, asked in its chat template."""
