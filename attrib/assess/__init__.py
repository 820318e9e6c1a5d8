"""The same question asked of a whole set: is what the methods say borne out?"""
