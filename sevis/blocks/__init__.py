"""The SE block, and how to look into the SE blocks of any model: it knows no network of ours."""
