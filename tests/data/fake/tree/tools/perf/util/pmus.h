/* SPDX-License-Identifier: GPL-2.0 */
#ifndef FAKE_PMUS_H
#define FAKE_PMUS_H

int pmus__count(void);

#endif
