"""What a user's life needs: its end and its ways back, links of more kinds. The indexes of users come in 0006."""

from importlib import import_module

from django.db import migrations, models

# What a move of the status changes is published too, so it needs an event as the rest does.
TRIGGERS = import_module("accounts.migrations.0002_user_needs_event")
PUBLISHED = (*TRIGGERS.PUBLISHED, "status_reason", "status_until", "delete_after", "former_status")
DROP = "drop trigger accounts_user_event_u on accounts_user;"


def needs_event_for(published):
    return TRIGGERS.needs_event(published) + DROP + TRIGGERS.update_trigger(published)


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_sign_in_whole'),
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='user',
            options={'permissions': [('delete_user_immediately', 'Can delete user immediately')]},
        ),
        migrations.RemoveConstraint(
            model_name='link',
            name='accounts_link_one',
        ),
        migrations.RemoveConstraint(
            model_name='link',
            name='accounts_link_purpose',
        ),
        migrations.RemoveConstraint(
            model_name='securityrecord',
            name='accounts_security_kind',
        ),
        migrations.AddField(
            model_name='link',
            name='email',
            field=models.CharField(blank=True, db_default='', max_length=254),
        ),
        migrations.AddField(
            model_name='securityrecord',
            name='actor_id',
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name='securityrecord',
            name='reason',
            field=models.CharField(blank=True, db_default='', default='', max_length=200),
        ),
        migrations.AddField(
            model_name='user',
            name='delete_after',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='user',
            name='erased_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='user',
            name='former_status',
            field=models.CharField(blank=True, choices=[('active', 'Active'), ('suspended', 'Suspended'), ('pending_deletion', 'Pending Deletion'), ('deleted', 'Deleted')], db_default='', default='', max_length=16),
        ),
        migrations.AddField(
            model_name='user',
            name='status_reason',
            field=models.CharField(blank=True, db_default='', default='', max_length=200),
        ),
        migrations.AddField(
            model_name='user',
            name='status_until',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name='link',
            name='purpose',
            field=models.CharField(choices=[('verify', 'Verify'), ('reset', 'Reset'), ('invite', 'Invite'), ('change_email', 'Change Email'), ('undo_email', 'Undo Email'), ('restore', 'Restore')], max_length=16),
        ),
        migrations.AlterField(
            model_name='securityrecord',
            name='kind',
            field=models.CharField(choices=[('new_device', 'New Device'), ('password_changed', 'Password Changed'), ('password_reset', 'Password Reset'), ('refresh_token_reused', 'Refresh Token Reused'), ('login_blocked', 'Login Blocked'), ('unusual_login', 'Unusual Login'), ('email_changed', 'Email Changed'), ('email_change_undone', 'Email Change Undone'), ('unlocked', 'Unlocked'), ('reset_requested', 'Reset Requested')], max_length=32),
        ),
        migrations.AddIndex(
            model_name='link',
            index=models.Index(condition=models.Q(('purpose', 'undo_email'), ('spent_at', None)), fields=['email_canonical'], name='accounts_link_held'),
        ),
        migrations.AddConstraint(
            model_name='link',
            constraint=models.UniqueConstraint(condition=models.Q(('purpose', 'undo_email'), _negated=True), fields=('user', 'purpose'), name='accounts_link_one'),
        ),
        migrations.AddConstraint(
            model_name='link',
            constraint=models.CheckConstraint(condition=models.Q(('purpose__in', ['verify', 'reset', 'invite', 'change_email', 'undo_email', 'restore'])), name='accounts_link_purpose'),
        ),
        migrations.AddConstraint(
            model_name='securityrecord',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['new_device', 'password_changed', 'password_reset', 'refresh_token_reused', 'login_blocked', 'unusual_login', 'email_changed', 'email_change_undone', 'unlocked', 'reset_requested'])), name='accounts_security_kind'),
        ),
        migrations.RunSQL(needs_event_for(PUBLISHED), needs_event_for(TRIGGERS.PUBLISHED)),
    ]
