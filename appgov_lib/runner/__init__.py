"""The notebook suite: which notebooks, with which parameters, executed how, shown how."""

from appgov_lib.runner.page import render_page
from appgov_lib.runner.run import NotebookResult, execute, raise_if_failed
from appgov_lib.runner.suite import Notebook, Suite, load_suite

__all__ = ["Notebook", "NotebookResult", "Suite", "execute", "load_suite", "raise_if_failed", "render_page"]
