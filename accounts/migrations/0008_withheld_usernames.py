"""Usernames that are kept from everybody, so that asking for one tells nothing of the address beside it."""

from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_security_record_ids")]

    operations = [
        migrations.CreateModel(
            name="WithheldUsername",
            fields=[
                ("hash", models.BinaryField(max_length=32, primary_key=True, serialize=False)),
                ("created_at", models.DateTimeField(db_default=Now())),
            ],
        ),
    ]
