"""Does a model serve all groups of patients equally well, and does the ruler that says so?"""
