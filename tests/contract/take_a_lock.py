"""Takes a lock and releases it with the generated client, which is in the folder of argument 1."""

import os
import sys

sys.path.insert(0, sys.argv[1])

from leasehold_client import AuthenticatedClient
from leasehold_client.api.locks import acquire, get_lock, release
from leasehold_client.models import AcquireRequest, ReleaseRequest

client = AuthenticatedClient(
    base_url=os.environ["LEASEHOLD_URL"], token=os.environ["LEASEHOLD_KEY"]
)

answer = acquire.sync_detailed(
    "demo", "generated", client=client, body=AcquireRequest(ttl_ms=60000)
)
assert answer.status_code == 201, answer
grant = answer.parsed
assert grant.fencing_token > 0 and len(grant.lease_id) == 32, grant

view = get_lock.sync("demo", "generated", client=client)
assert view.state == "held" and view.holders[0].fencing_token == grant.fencing_token, view

refused = acquire.sync_detailed(
    "demo", "generated", client=client, body=AcquireRequest(ttl_ms=60000)
)
assert refused.status_code == 409 and refused.parsed.code == "held", refused

released = release.sync(
    "demo", "generated", client=client, body=ReleaseRequest(lease_id=grant.lease_id)
)
assert released.released is True, released
assert get_lock.sync("demo", "generated", client=client).state == "free"
print("took and released the lock with token", grant.fencing_token)
