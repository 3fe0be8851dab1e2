"""The indexes of users, beside whoever reads and writes them: on a large table each takes its time."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("accounts", "0005_user_centre_whole")]

    operations = [
        migrations.RunSQL("set statement_timeout = 0", "set statement_timeout = 0"),
        AddIndexConcurrently(
            model_name='user',
            index=models.Index(fields=['created_at', 'id'], name='accounts_user_created'),
        ),
        AddIndexConcurrently(
            model_name='user',
            index=models.Index(fields=['username_canonical'], name='accounts_user_by_name', opclasses=['varchar_pattern_ops']),
        ),
        AddIndexConcurrently(
            model_name='user',
            index=models.Index(fields=['email_canonical'], name='accounts_user_by_email', opclasses=['varchar_pattern_ops']),
        ),
        AddIndexConcurrently(
            model_name='user',
            index=models.Index(condition=models.Q(('status', 'suspended')), fields=['status_until'], name='accounts_user_suspended'),
        ),
        AddIndexConcurrently(
            model_name='user',
            index=models.Index(condition=models.Q(('status', 'pending_deletion')), fields=['delete_after'], name='accounts_user_leaving'),
        ),
        AddIndexConcurrently(
            model_name='user',
            index=models.Index(condition=models.Q(('is_superuser', True)), fields=['id'], name='accounts_user_superusers'),
        ),
        AddIndexConcurrently(
            model_name='user',
            index=models.Index(condition=models.Q(('status', 'deleted')), fields=['erased_at'], name='accounts_user_deleted'),
        ),
        migrations.RunSQL("reset statement_timeout", "reset statement_timeout"),
    ]
