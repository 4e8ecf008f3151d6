"""The compiled part of striate: what is typed in the .pyi files beside this one."""
