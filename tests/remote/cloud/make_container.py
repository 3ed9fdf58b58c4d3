"""Makes a container of Azure Blob Storage: make_container.py URL ACCOUNT KEY CONTAINER"""

import base64
import email.utils
import hashlib
import hmac
import sys
import urllib.request

url, account, key, container = sys.argv[1:]
headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
lines = ["PUT"] + [""] * 11  # none of the usual headers
lines += [f"{name}:{value}" for name, value in headers.items()]
lines += [f"/{account}/{account}/{container}", "restype:container"]
digest = hmac.new(base64.b64decode(key), "\n".join(lines).encode(), hashlib.sha256).digest()
headers["Authorization"] = f"SharedKey {account}:{base64.b64encode(digest).decode()}"
request = urllib.request.Request(
    f"{url}/{container}?restype=container", method="PUT", headers=headers
)
urllib.request.urlopen(request).read()
