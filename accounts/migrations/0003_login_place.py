from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_user_needs_event")]

    operations = [
        migrations.AddIndex(
            model_name="loginrecord",
            index=models.Index(fields=["user_id", "network", "device"], name="accounts_login_place"),
        ),
    ]
