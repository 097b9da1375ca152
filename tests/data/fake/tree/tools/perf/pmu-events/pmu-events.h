/* SPDX-License-Identifier: GPL-2.0 */
#ifndef FAKE_PMU_EVENTS_H
#define FAKE_PMU_EVENTS_H

/* An event is where its name begins in the one big string. */
struct compact_pmu_event {
	unsigned int offset;
};

struct pmu_table {
	const struct compact_pmu_event *entries;
	unsigned int length;
};

extern const struct pmu_table pmu_tables[];
extern const char big_c_string[];

#endif
