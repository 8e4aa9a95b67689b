"""Program that tries each device named on its command line and prints what is wrong with it."""

# pyright: reportMissingImports=false, reportUnknownMemberType=false
# PyTorch is only in the extra `diffusers`, so its types are unknown.

import json
import sys


def fault_of(device: str) -> str:
    """Return why PyTorch cannot use the device, empty if it can."""
    import torch  # noqa: PLC0415  takes seconds, and only this program needs it

    try:
        torch.ones(1, device=device).add_(1)
    except Exception as error:  # noqa: BLE001  drivers raise whatever they like
        return (str(error) or type(error).__name__).splitlines()[0][:300]
    return ""


if __name__ == "__main__":
    sys.stdout.write(json.dumps({device: fault_of(device) for device in sys.argv[1:]}))
