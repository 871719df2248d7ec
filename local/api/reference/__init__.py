"""The pages of ``docs/reference``, made from code and template. Texts that neither has: ``descriptions``."""
