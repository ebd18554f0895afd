"""The pages of the keyword lab, and the forms through which keywords change."""
