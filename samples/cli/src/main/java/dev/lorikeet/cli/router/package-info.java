/** Commands that train and judge routers, made of the module lorikeet-gate-training. */
@NullMarked
package dev.lorikeet.cli.router;

import org.jspecify.annotations.NullMarked;
