"""Alarms: raising and closing them, the rules that sort them, what staff do with them, and telling people.

An alarm is raised by whoever sees the trouble (`apps.piles.services.raise_alarm`), cheaply, in the middle of other
work. A beat task (`watch`) finds what nobody reports, sorts what was raised by the tenant's rules, and wants messages
sent.
"""
