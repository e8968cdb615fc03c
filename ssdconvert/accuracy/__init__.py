"""How accurate models are on annotated pictures: mean average precision, its uncertainty, who loses what."""
