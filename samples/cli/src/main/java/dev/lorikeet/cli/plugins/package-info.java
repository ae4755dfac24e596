/** Commands on plugins: which there are, and whether they conform. */
@NullMarked
package dev.lorikeet.cli.plugins;

import org.jspecify.annotations.NullMarked;
