"""A laboratory of QEMU machines that boot over PXE: the whole way, on a real firmware and kernel.

``python -m tests.lab`` runs a story in namespaces of its own: processes, network and files are
gone with the first process of the namespace, however it ends.
"""
