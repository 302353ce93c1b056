"""A demo business: two operators, six stations, drivers with money, and the charges of the days before."""
