"""Write mnlogit.json: what statsmodels' MNLogit says about two small data sets.

    python tests/inspection/reference/mnlogit.py

Needs statsmodels, which the tests do not: 65 MB for two tables of numbers. The test that reads the
file checks the covariances by numerical derivatives besides.
"""

import json
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_wine

CASES = {
    "wine": (load_wine, [0, 1, 3, 4], 17),
    "breast_cancer": (load_breast_cancer, [1, 4, 8], 23),
}


def rows_of(name):
    load, columns, n_clusters = CASES[name]
    X, y = load(return_X_y=True)
    return X[:, columns], y, np.arange(len(y)) % n_clusters


def numbers(result):
    """Classes down, intercept and features across."""
    low, high = np.moveaxis(result.conf_int(), -1, 0)
    k = result.params.shape[0]
    return {
        "estimates": result.params.T.tolist(),
        "standard_errors": result.bse.T.tolist(),
        "z": result.tvalues.T.tolist(),
        "p_values": result.pvalues.T.tolist(),
        "low": np.reshape(low, (-1, k)).tolist(),
        "high": np.reshape(high, (-1, k)).tolist(),
        "covariance": result.cov_params().tolist(),
    }


def main():
    import statsmodels
    import statsmodels.api as sm

    warnings.simplefilter("ignore")  # it does not see that it is at the optimum
    record = {"statsmodels": statsmodels.__version__, "cases": {}}
    for name in CASES:
        X, y, clusters = rows_of(name)
        model = sm.MNLogit(y, sm.add_constant(X))

        def fit(model=model, **how):
            return model.fit(method="newton", maxiter=100, tol=1e-14, disp=0, **how)

        plain = fit()
        grouped = {"groups": clusters, "use_correction": False}
        record["cases"][name] = {
            "log_likelihood": plain.llf,
            "log_likelihood_null": plain.llnull,
            "likelihood_ratio": plain.llr,
            "likelihood_ratio_p": plain.llr_pvalue,
            "mcfadden": plain.prsquared,
            "aic": plain.aic,
            "bic": plain.bic,
            "hessian": numbers(plain),
            "sandwich": numbers(fit(cov_type="HC0")),
            "clustered_without_factor": numbers(fit(cov_type="cluster", cov_kwds=grouped)),
        }
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
