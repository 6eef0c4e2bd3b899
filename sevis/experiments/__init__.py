"""What runs a network on images: explanations, interventions, collections, audits, evaluations."""
