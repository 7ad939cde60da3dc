"""Weakly supervised temporal localisation by expectation-maximisation over segment labels."""
