"""Stations near a point: a GiST index on the position as a point in space, in metres from the earth's centre.

The same thing as earthdistance's ll_to_earth, with the mean radius and written out: that function's body names cube
and earth without a schema, so PostgreSQL 17 cannot run it while it maintains an index (search_path is empty then).
`apps.sites.selectors` repeats the expression word for word, else the planner does not see the index.
"""

from django.db import migrations

LATITUDE, LONGITUDE = "radians(latitude::double precision)", "radians(longitude::double precision)"


class Migration(migrations.Migration):
    dependencies = [("sites", "0001_initial"), ("tenancy", "0002_extensions")]

    operations = [
        migrations.RunSQL(
            f"""
            CREATE INDEX sites_station_position ON sites_station USING gist (public.cube(ARRAY[
                6371008.8 * cos({LATITUDE}) * cos({LONGITUDE}),
                6371008.8 * cos({LATITUDE}) * sin({LONGITUDE}),
                6371008.8 * sin({LATITUDE})
            ]::double precision[]))
            """,
            "DROP INDEX sites_station_position",
        ),
    ]
