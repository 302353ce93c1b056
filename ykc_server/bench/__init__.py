"""`make bench`: what the gateway costs against a bare echo of the same bytes, in the same run on the same machine."""
