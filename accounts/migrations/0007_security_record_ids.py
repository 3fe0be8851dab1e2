"""Ids of the security log are UUIDv7s as all others; and a reason more why a sign-in failed."""

import uuid_utils.compat
from django.db import migrations, models

# Old rows get their own time and, behind it, what nobody can count by. The default is for processes of the version
# before, which serve on while this one is installed.
TO_UUIDS = """
set local statement_timeout = 0;
alter table accounts_securityrecord alter column id drop identity;
alter table accounts_securityrecord alter column id type uuid using overlay(
    gen_random_uuid()::text placing
    regexp_replace(lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0'), '(.{8})(.{4})', '\\1-\\2-7') from 1 for 15
)::uuid;
alter table accounts_securityrecord alter column id set default gen_random_uuid();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_user_indexes")]

    operations = [
        migrations.RunSQL(
            TO_UUIDS,
            state_operations=[
                migrations.AlterField(
                    model_name="securityrecord",
                    name="id",
                    field=models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                )
            ],
        ),
        migrations.AlterField(
            model_name="loginrecord",
            name="reason",
            field=models.CharField(
                blank=True,
                choices=[
                    ("unknown_name", "Unknown Name"),
                    ("wrong_password", "Wrong Password"),
                    ("not_active", "Not Active"),
                    ("not_restored", "Not Restored"),
                ],
                db_default="",
                max_length=16,
            ),
        ),
    ]
