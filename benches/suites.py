"""All suites. Importing this registers all adapters."""

import adapters_auc  # noqa: F401
import adapters_contrastive  # noqa: F401
import adapters_filters  # noqa: F401
import adapters_losses  # noqa: F401
import adapters_mining  # noqa: F401
import adapters_similarity  # noqa: F401
import cases_auc
import cases_contrastive
import cases_filters
import cases_losses
import cases_mining
import cases_similarity
from cases import Suite

SUITES: dict[str, Suite] = {
    suite.name.lower(): suite
    for suite in (
        cases_auc.SUITE,
        cases_similarity.SUITE,
        cases_losses.SUITE,
        cases_contrastive.SUITE,
        cases_mining.SUITE,
        cases_filters.SUITE,
    )
}
