"""From the bytes of a GPS message to fixes: one file a format, each recognised by its shape, never by configuration.

Pure: the bridge decodes what comes in with it, and the box a payload that was kept because its fix was rejected.
"""
