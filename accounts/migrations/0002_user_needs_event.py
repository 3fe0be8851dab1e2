"""No row of accounts_user is inserted, changed in a published column or deleted without its event.

Deferred constraint triggers look, at commit, for the outbox record that this very transaction wrote for the
user's id, the stream `accounts.user` and the new version. Why so: docs/decisions/user-triggers.md.
"""

from django.db import migrations

PUBLISHED = (
    "id",
    "username",
    "username_canonical",
    "email",
    "email_canonical",
    "email_verified",
    "status",
    "display_name",
    "locale",
    "time_zone",
    "is_staff",
    "is_superuser",
    "version",
)


def row(name, columns):
    return "(" + ", ".join(f"{name}.{column}" for column in columns) + ")"


def changed(columns):
    return f"{row('old', columns)} is distinct from {row('new', columns)}"


GUARDED = "current_setting('accounts.unguarded', true) is distinct from pg_current_xact_id()::text"

WAY_ROUND = """
-- The only way round: bound to this transaction's number, so that no session-wide SET can open it; and logged.
create function accounts_unguarded(reason text) returns void language plpgsql set search_path = pg_catalog, public as $$
begin
  if reason is null or btrim(reason) = '' then
    raise exception 'accounts_unguarded() needs a reason' using errcode = '22023';
  end if;
  insert into accounts_unguardedchange (role, reason) values (session_user, reason);
  perform set_config('accounts.unguarded', pg_current_xact_id()::text, true);
end $$;

create function accounts_guarded() returns void language sql as $$
  select set_config('accounts.unguarded', '', true)
$$;
"""


def needs_event(published):
    """The function of the triggers, for these columns; a later list takes its place."""
    return f"""
create or replace function accounts_user_needs_event() returns trigger language plpgsql set search_path = pg_catalog, public as $$
declare
  subject text;
  announced bigint;
begin
  if tg_op = 'DELETE' then
    subject := old.id::text;
    announced := old.version + 1;
  else
    subject := new.id::text;
    announced := new.version;
  end if;
  -- A new hash alone may keep the version: the login that upgraded it says so under the version that stands.
  if tg_op = 'UPDATE' and (new.version < old.version or (new.version = old.version and {changed(published)})) then
    raise exception using errcode = '23514', constraint = 'accounts_user_event', table = 'accounts_user',
      message = format('user %s changed without a new version', subject),
      hint = 'version must grow with every published change';
  end if;
  perform 1 from events_outbox o
    where o.key = subject and o.version = announced and o.stream = 'accounts.user' and o.xid = pg_current_xact_id();
  if not found then
    raise exception using errcode = '23514', constraint = 'accounts_user_event', table = 'accounts_user',
      message = format('%s of user %s to version %s without its event', lower(tg_op), subject, announced),
      hint = 'publish() the event in the same transaction, through accounts.services';
  end if;
  return null;
end $$;
"""


NO_TRUNCATE = """
create function accounts_user_no_truncate() returns trigger language plpgsql as $$
begin
  raise exception using errcode = '23514', constraint = 'accounts_user_event', table = 'accounts_user',
    message = 'TRUNCATE of accounts_user would bypass events', hint = 'select accounts_unguarded(reason) first';
end $$;
"""


def update_trigger(published):
    """Of a change of these columns, or of the password."""
    return f"""create constraint trigger accounts_user_event_u after update on accounts_user
  deferrable initially deferred for each row
  when ({changed((*published, "password"))} and {GUARDED}) execute function accounts_user_needs_event();"""


TRIGGERS = f"""
create constraint trigger accounts_user_event_i after insert on accounts_user
  deferrable initially deferred for each row
  when ({GUARDED}) execute function accounts_user_needs_event();
{update_trigger(PUBLISHED)}
create constraint trigger accounts_user_event_d after delete on accounts_user
  deferrable initially deferred for each row
  when ({GUARDED}) execute function accounts_user_needs_event();
create trigger accounts_user_event_t before truncate on accounts_user
  for each statement when ({GUARDED}) execute function accounts_user_no_truncate();
"""

DROP = """
drop trigger accounts_user_event_i on accounts_user;
drop trigger accounts_user_event_u on accounts_user;
drop trigger accounts_user_event_d on accounts_user;
drop trigger accounts_user_event_t on accounts_user;
drop function accounts_user_no_truncate();
drop function accounts_user_needs_event();
drop function accounts_guarded();
drop function accounts_unguarded(text);
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial"), ("events", "0002_outbox_storage")]

    operations = [migrations.RunSQL(WAY_ROUND + needs_event(PUBLISHED) + NO_TRUNCATE + TRIGGERS, DROP)]
