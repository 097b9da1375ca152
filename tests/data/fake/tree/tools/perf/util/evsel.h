/* SPDX-License-Identifier: GPL-2.0 */
#ifndef FAKE_EVSEL_H
#define FAKE_EVSEL_H

int evsel__parse(void);

#endif
