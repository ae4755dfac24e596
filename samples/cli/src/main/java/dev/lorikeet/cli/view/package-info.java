/**
 * How sequences that are decoded together are shown while their tokens come; {@link
 * dev.lorikeet.cli.view.Views} chooses.
 */
@NullMarked
package dev.lorikeet.cli.view;

import org.jspecify.annotations.NullMarked;
